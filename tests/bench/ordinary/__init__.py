"""The ordinary Django way of importing: one JSON column, ``bulk_create``, then check and ``bulk_update``."""
