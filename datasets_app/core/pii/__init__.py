"""Personal data and secrets in texts: which kinds there are, where they stand, and how they are taken out.

``scanning`` finds them, ``traces`` does so in every text of a record, ``redacting`` puts placeholders in their place,
``masking`` shows them to people without giving them away.
"""

from __future__ import annotations
