"""A stored run's networks and data, for those who work on them afterwards: loading, deploying, exporting."""
