"""`bytespike seed`: a month of believable traffic, for documentation, demos and the console."""
