"""`nzcore demo`: a real node lives, fails, heals and stops before your eyes; steps are data in `steps`."""
