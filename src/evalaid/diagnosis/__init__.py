"""What a layout admits: who can be compared with whom, what no comparison can tell, and both in words."""
