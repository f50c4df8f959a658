"""From a long frame to a design: who can be compared with whom, what no comparison can tell, and both in words."""
