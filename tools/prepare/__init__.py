"""What the tools that prepare public data sets share."""
