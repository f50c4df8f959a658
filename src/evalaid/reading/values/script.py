"""Chinese text in one form: full width and compatibility forms, traditional characters, pinyin left by OCR."""

from __future__ import annotations

import re
import unicodedata

_PAIRS = (
    "萬万與与東东叢丛業业兩两個个豐丰臨临為为爲为麗丽義义烏乌樂乐喬乔習习鄉乡雲云亞亚從从侖仑崙仑倉仓們们會会偉伟倫伦餘余黨党"
    "蘭兰關关興兴內内岡冈冊册軍军農农沖冲衝冲準准涼凉鳳凤憑凭凱凯則则剛刚劍剑勸劝務务動动勻匀華华單单盧卢衛卫歷历曆历廠厂廂厢"
    "廈厦縣县參参雙双葉叶吳吴啟启啓启員员呂吕響响堯尧後后團团園园圍围國国圖图聖圣場场壇坛壩坝墾垦墊垫壘垒夾夹婁娄孫孙寧宁寶宝"
    "審审宮宫寬宽賓宾尋寻將将爾尔嶼屿崗岗島岛嵐岚嶺岭嶽岳嶧峄峽峡巒峦嶗崂崍崃鞏巩師师帶带廣广莊庄慶庆廬庐庫库應应開开張张彌弥"
    "強强歸归當当懷怀戶户紮扎撫抚揚扬據据無无晉晋樸朴權权來来楊杨極极楓枫棗枣標标棟栋樹树棲栖橋桥樺桦夢梦欒栾樓楼榮荣橫横畢毕"
    "漢汉湯汤溝沟灃沣滄沧瀋沈瀧泷瀘泸澤泽涇泾潔洁窪洼瀏浏濟济渾浑滸浒潯浔湞浈濱滨漣涟淶涞渦涡潤润澗涧澱淀淵渊澠渑溫温灣湾漵溆"
    "匯汇滙汇滿满灤滦灘滩瀾澜潛潜潁颍靈灵煙烟煩烦熱热愛爱獨独獅狮獲获猶犹犛牦瑪玛環环瓊琼瑤瑶瑯琅琿珲電电疇畴畬畲鹽盐監监蓋盖"
    "盤盘礦矿硯砚確确碩硕禮礼禪禅祿禄離离稱称積积競竞筆笔築筑簡简類类紅红納纳細细織织紹绍經经結结絳绛綏绥績绩維维綿绵綠绿緑绿"
    "縉缙羅罗聶聂聯联肅肃膠胶脫脱臘腊騰腾輿舆節节薌芗蕪芜蘆芦蘇苏蒼苍荊荆滎荥蔭荫蓮莲萊莱瑩莹蘿萝營营蕭萧薩萨藍蓝薊蓟鎣蓥蘊蕴"
    "藺蔺蘄蕲藥药觀观覺觉讓让訥讷許许詔诏諸诸諾诺調调誼谊謀谋謝谢謙谦譙谯譜谱貝贝貞贞貢贡賢贤貴贵費费賀贺賈贾資资賚赉賽赛贊赞"
    "讚赞贛赣趙赵車车輪轮輝辉載载轄辖邊边遼辽達达遷迁邁迈運运進进遠远連连遜逊遙遥鄧邓鄲郸鄰邻鄖郧鄭郑鄆郓郟郏鄒邹鄴邺裏里裡里"
    "鐘钟鍾钟鋼钢欽钦錢钱鐵铁鉛铅銅铜銀银鋒锋錯错錫锡錦锦鎮镇鏡镜鑲镶長长門门間间閔闵閘闸聞闻閩闽閣阁閬阆閶阊閻阎陽阳陰阴陸陆"
    "陳陈隴陇陝陕陘陉隨随靜静韓韩頂顶項项順顺頗颇額额風风饒饶館馆馬马駐驻驛驿驊骅魚鱼魯鲁鮁鲅鮮鲜鯉鲤鳩鸠雞鸡鷄鸡鳴鸣鴨鸭鶴鹤"
    "鷹鹰麥麦黃黄點点齊齐龍龙臺台鬥斗穀谷鬱郁彞彝鹼碱鹹咸恆恒巖岩峯峰崑昆嶸嵘甕瓮壺壶壯壮復复壽寿遊游昇升勳勋儸罗區区"
)
"""Each traditional character before its simplified form: those of names of divisions, with common variants."""

_WORDS = (
    "醫医療疗構构診诊總总數数統统計计機机級级屬属護护險险轉转報报備备術术專专種种億亿歲岁齡龄檢检佔占實实際际說说產产"
)
"""The same for the words of headings about hospital care."""

TRADITIONAL = {pair[at]: pair[at + 1] for pair in (_PAIRS + _WORDS,) for at in range(0, len(pair), 2)}
"""Traditional character -> simplified. Characters that simplify in two ways (乾, 著) are not in it."""

_TABLE = str.maketrans(TRADITIONAL)
_PINYIN = re.compile(
    r"(?<=[\u3400-\u9fff])[((]\s*[a-z\u0101\u00e1\u01ce\u00e0\u0113\u00e9\u011b\u00e8\u012b\u00ed\u01d0\u00ec\u014d\u00f3\u01d2\u00f2\u016b\u00fa\u01d4\u00f9\u01d6\u01d8\u01da\u01dc\u00fc\u0261\u0144\u0148]{1,6}\s*[))]"
)


def simplify(text: str) -> str:
    """Write a text in one form: NFKC, without pinyin in brackets after a character, in simplified characters.

    Assumes a name of a division or a heading about hospital care: only the characters of these are simplified. Pinyin
    is taken to be one syllable in small letters in brackets, as OCR leaves it.

    Examples
    --------
    >>> simplify("醫(yī)療機構"), simplify("連南瑤族自治縣"), simplify("ＣＭＩ")
    ('医疗机构', '连南瑶族自治县', 'CMI')
    """
    return _PINYIN.sub("", unicodedata.normalize("NFKC", text)).translate(_TABLE)


def unify(text: str) -> str:
    """Write a heading in one form: as `simplify`, but only pinyin with marks of tone is taken out, for units look like it.

    Examples
    --------
    >>> unify("醫(yī)療機構數"), unify("距离（km）")
    ('医疗机构数', '距离(km)')
    """
    bare = _PINYIN.sub(lambda found: found[0] if found[0].isascii() else "", unicodedata.normalize("NFKC", text))
    return bare.translate(_TABLE)
