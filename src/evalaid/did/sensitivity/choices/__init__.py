"""Would other choices have given another answer?"""
