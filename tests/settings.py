"""The product's settings with the few values a test run needs; the database comes from DATABASE_URL as always."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_scratch = Path(os.environ.get("RFT_TEST_DIR") or tempfile.mkdtemp(prefix="rft-tests-"))
os.environ["RFT_TEST_DIR"] = str(_scratch)  # xdist workers share it
os.environ.setdefault("SECRET_KEY", "tests-only-" + "0" * 60)
os.environ.setdefault("FIELD_ENCRYPTION_KEYS", "dGVzdHMtb25seS1rZXktb2YtMzItYnl0ZXMtLi4uLi4=")
os.environ["ALLOWED_HOSTS"] = "127.0.0.1,localhost,testserver"
os.environ["DATA_DIR"] = str(_scratch)
os.environ["INSECURE_HTTP"] = "1"
os.environ["DEBUG"] = "0"
os.environ.setdefault("LOG_LEVEL", "WARNING")

from rft_project.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # tests sign in often
STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"  # noqa: F405
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # noqa: F405 - whitenoise warns about a folder that is not there
