"""What if trends had not been parallel?"""
