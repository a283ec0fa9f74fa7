"""What `fmwidget` costs, and what it is held against."""
