"""What could the design have found?"""
