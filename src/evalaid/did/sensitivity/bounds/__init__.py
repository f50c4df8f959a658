"""What do stated limits leave of a change?"""
