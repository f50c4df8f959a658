"""Are there effects where there should be none?"""
