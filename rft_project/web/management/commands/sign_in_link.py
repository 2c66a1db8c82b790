"""Print a sign-in link for an account; the first account of an installation is made by it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from rft_project.web.signin import ensure_user, sign_in_link


class Command(BaseCommand):
    help = (
        "Prints a link that signs one person in: valid for 24 hours, for one use. Makes the account if it is missing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--base-url", default="http://127.0.0.1:8000", help="address the server is reached at")

    def handle(self, *args: Any, **options: Any) -> None:
        username = options["username"].strip()
        if not username or len(username) > 150:
            raise CommandError("Give a user name of 1 to 150 characters.")
        user = ensure_user(username)
        if not user.is_active:
            raise CommandError(f"The account {username} is switched off; switch it on in the admin first.")
        self.stdout.write(options["base_url"].rstrip("/") + sign_in_link(user))
