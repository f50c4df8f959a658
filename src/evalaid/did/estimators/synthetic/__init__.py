"""Methods that weight comparison units to follow the treated ones."""
