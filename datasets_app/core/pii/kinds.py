"""The kinds of personal data and secrets that are told apart, in the order in which one wins over another."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Group(StrEnum):
    """What a kind is to a person who decides about it."""

    SECRET = "secret"  # opens something: nobody outside may ever see it
    PERSONAL = "personal"  # is about a person
    NOTE = "note"  # worth counting, personal only sometimes: nobody is asked about it


@dataclass(frozen=True, slots=True)
class Kind:
    """``slug`` names it in reports and placeholders (``<EMAIL_1>``); ``one`` and ``many`` name it for people."""

    slug: str
    one: str
    many: str
    group: Group

    @property
    def title(self) -> str:
        """``many`` as the beginning of a line."""
        return self.many[:1].upper() + self.many[1:]


def _of(group: Group, *rows: tuple[str, str] | tuple[str, str, str]) -> list[Kind]:
    return [Kind(row[0], row[1], row[2] if len(row) == 3 else f"{row[1]}s", group) for row in rows]


_TABLE = [
    *_of(
        Group.SECRET,
        ("private_key", "private key"),
        ("database_url", "database address with a password", "database addresses with a password"),
        ("credential_url", "address with a password", "addresses with a password"),
        ("jwt", "JSON web token"),
        ("anthropic_key", "Anthropic key"),
        ("openai_key", "OpenAI key"),
        ("ai_key", "model provider key"),
        ("github_token", "GitHub token"),
        ("gitlab_token", "GitLab token"),
        ("slack_token", "Slack token or webhook", "Slack tokens and webhooks"),
        ("stripe_key", "Stripe key"),
        ("google_key", "Google key"),
        ("azure_key", "Azure key"),
        ("aws_access_key", "AWS access key"),
        ("aws_secret_key", "AWS secret key"),
        ("huggingface_token", "Hugging Face token"),
        ("npm_token", "npm token"),
        ("pypi_token", "PyPI token"),
        ("sendgrid_key", "SendGrid key"),
        ("twilio_key", "Twilio key"),
        ("shopify_token", "Shopify token"),
        ("digitalocean_token", "DigitalOcean token"),
        ("telegram_token", "Telegram bot token"),
        ("mail_key", "Mailgun or Mailchimp key"),
        ("password", "password"),
        ("secret_token", "token or key beside its name", "tokens and keys beside their names"),
    ),
    *_of(
        Group.PERSONAL,
        ("email", "e-mail address", "e-mail addresses"),
        ("crypto_address", "cryptocurrency address", "cryptocurrency addresses"),
        ("iban", "bank account (IBAN)", "bank accounts (IBAN)"),
        ("us_ssn", "US social security number"),
        ("uk_nino", "UK national insurance number"),
        ("de_tax_id", "German tax number"),
        ("es_nif", "Spanish identity number"),
        ("it_codice_fiscale", "Italian tax code"),
        ("ch_ahv", "Swiss social insurance number"),
        ("fr_nir", "French social security number"),
        ("se_personnummer", "Swedish identity number"),
        ("br_cpf", "Brazilian tax number"),
        ("in_aadhaar", "Indian Aadhaar number"),
        ("in_pan", "Indian PAN"),
        ("nl_bsn", "Dutch citizen number"),
        ("pl_pesel", "Polish identity number"),
        ("ca_sin", "Canadian social insurance number"),
        ("au_tfn", "Australian tax file number"),
        ("card", "payment card"),
        ("passport", "passport number"),
        ("driver_license", "driver's licence number"),
        ("birth_date", "date of birth", "dates of birth"),
        ("mac_address", "device address (MAC)", "device addresses (MAC)"),
        ("ip_address", "IP address", "IP addresses"),
        ("gps", "place by coordinates", "places by coordinates"),
        ("phone", "phone number"),
        ("person", "name of a person", "names of people"),
        ("place", "name of a place", "names of places"),
    ),
    *_of(Group.NOTE, ("url", "web address", "web addresses")),
]

#: slug -> kind. Of findings that overlap, the one whose kind stands first is kept: what has a shape of its own or a
#: checksum comes before what only looks like a number.
KINDS: dict[str, Kind] = {kind.slug: kind for kind in _TABLE}
RANK: dict[str, int] = {slug: rank for rank, slug in enumerate(KINDS)}
SECRETS = frozenset(kind.slug for kind in _TABLE if kind.group is Group.SECRET)
#: Kinds that somebody should decide about before the records leave the machine.
REVIEWED = frozenset(kind.slug for kind in _TABLE if kind.group is not Group.NOTE)
