"""Does the estimate depend on who is in the sample?"""
