"""Invented personal data and secrets, one or more of each kind, and what looks like them.

Secrets are put together from pieces, so that no scanner of repositories takes this file for a leak.
"""

from __future__ import annotations

import base64
import json
import random

_R = random.Random(20)
_HEX, _ALNUM = "0123456789abcdef", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def _rand(alphabet: str, length: int) -> str:
    """Random characters, a letter and a digit among them whatever the draw."""
    return "".join(_R.choices(alphabet, k=length - 2)) + "a7"


def _jwt() -> str:
    parts = [{"alg": "HS256", "typ": "JWT"}, {"sub": "17", "name": "Ann"}]
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*coded, _rand(_ALNUM, 43)])


PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{_rand(_ALNUM, 64)}\n{_rand(_ALNUM, 40)}==\n-----END RSA PRIVATE KEY-----"
_KEYS: dict[str, list[str]] = {
    "anthropic_key": ["sk-ant-" + "api03-" + _rand(_ALNUM, 80)],
    "openai_key": ["sk-" + "proj-" + _rand(_ALNUM, 48), "sk-" + _rand(_ALNUM, 48)],
    "ai_key": ["gsk_" + _rand(_ALNUM, 52)],
    "github_token": ["ghp_" + _rand(_ALNUM, 36), "github_pat_" + _rand(_ALNUM, 82)],
    "gitlab_token": ["glpat-" + _rand(_ALNUM, 20)],
    "slack_token": [
        "xoxb-" + "123456789012-" + _rand(_ALNUM, 24),
        "https://hooks.slack.com/services/" + "T0/B0/" + _rand(_ALNUM, 40),
    ],
    "stripe_key": ["sk_" + "live_" + _rand(_ALNUM, 24)],
    "google_key": ["AIza" + _rand(_ALNUM, 35)],
    "azure_key": [_rand(_ALNUM, 3) + "8Q~" + _rand(_ALNUM, 34)],
    "aws_access_key": ["AKIA" + "".join(_R.sample("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16))],
    "huggingface_token": ["hf_" + _rand(_ALNUM, 34)],
    "npm_token": ["npm_" + _rand(_ALNUM, 36)],
    "pypi_token": ["pypi-AgE" + _rand(_ALNUM, 60)],
    "sendgrid_key": ["SG." + _rand(_ALNUM, 22) + "." + _rand(_ALNUM, 43)],
    "twilio_key": ["SK" + _rand(_HEX, 32)],
    "shopify_token": ["shpat_" + _rand(_HEX, 32)],
    "digitalocean_token": ["dop_v1_" + _rand(_HEX, 64)],
    "telegram_token": ["5012345678:AA" + _rand(_ALNUM, 33)],
    "mail_key": ["key-" + _rand(_HEX, 32)],
    "jwt": [_jwt()],
    "private_key": [PEM],
    "database_url": ["postgresql+asyncpg://app:Tr0ub4dor&3@db.internal:5432/shop"],
    "credential_url": ["https://deploy:hunter2x@git.example.com/shop.git"],
}
_SECRET = _rand(_ALNUM + "/+", 40)
_TOKEN = _rand(_ALNUM, 32)
_COMMON: dict[str, list[str]] = {
    "email": ["Joe.O'Neil+shop@mail.example.co.uk", "MÜLLER@exämple.de"],
    "phone": [
        "+49 (0)151 2345678",
        "0046 8 928 571 38",
        "(212) 555-0187",
        "212.555.0187 ext 12",
        "0151/2345678",
        "(08) 8747 6301",
    ],
    "card": ["4111 1111 1111 1111", "378282246310005", "5500-0055-5555-5559", "36148900647913", "6304000000000000"],
    "iban": ["DE89 3704 0044 0532 0130 00", "gb29NWBK60161331926819"],
    "ip_address": ["81.2.69.160", "2001:db8:85a3::8a2e:370:7334"],
    "mac_address": ["00:1B:44:11:3A:B7", "3c-22-fb-9a-10-4d"],
    "gps": ["48.85837, 2.29448"],
    "crypto_address": [
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
        "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
        "0x52908400098527886E0F7030069857D2E4169EE7",
    ],
    "us_ssn": ["536-90-4399"],
    "uk_nino": ["QQ 12 34 56 C".replace("QQ", "AB")],
    "es_nif": ["12345678Z", "X1234567L"],
    "it_codice_fiscale": ["RSSMRA85T10A562S"],
    "ch_ahv": ["756.9217.0769.85"],
    "fr_nir": ["2 55 08 14 168 025 38"],
    "se_personnummer": ["811218-9876"],
    "br_cpf": ["529.982.247-25"],
    "in_aadhaar": ["2341 2341 2346"],
    "url": ["https://shop.example.com/orders/81?tab=items", "www.example.org"],
}
_IN_WORDS = [
    ("aws_secret_key", _SECRET, f'aws_secret_access_key = "{_SECRET}"'),
    ("azure_key", _SECRET + "==", f"AccountName=shop;AccountKey={_SECRET}==;EndpointSuffix=core"),
    ("password", "Kangaroo-77!x", 'the password is "Kangaroo-77!x", please reset it'),
    ("password", "s3cretSauce", '{"user": "ann", "password": "s3cretSauce"}'),
    ("password", "p@ssw0rt9", "Passwort: p@ssw0rt9."),
    ("secret_token", _TOKEN, f"api_key: {_TOKEN}"),
    ("secret_token", _TOKEN, f"Authorization: Bearer {_TOKEN}"),
    ("secret_token", _TOKEN, f"export SESSION_TOKEN={_TOKEN}"),
    ("us_ssn", "536 90 4399", "My SSN is 536 90 4399"),
    ("de_tax_id", "86095742719", "Steuer-ID: 86095742719"),
    ("br_cpf", "52998224725", "CPF 52998224725"),
    ("in_aadhaar", "234123412346", "Aadhaar number 234123412346"),
    ("in_pan", "ABCPE1234F", "PAN: ABCPE1234F"),
    ("nl_bsn", "111222333", "BSN 111222333"),
    ("pl_pesel", "44051401359", "PESEL 44051401359"),
    ("ca_sin", "130 692 544", "my SIN is 130 692 544"),
    ("au_tfn", "123 456 782", "TFN: 123 456 782"),
    ("passport", "C01X00T47", "Passport No. C01X00T47"),
    ("driver_license", "D1234567", "driver's license number is D1234567"),
    ("birth_date", "12 May 1987", "born on 12 May 1987 in Bonn"),
    ("birth_date", "1987-05-12", "DOB: 1987-05-12"),
    ("phone", "467 3395", "Phone:\n467 3395"),
    ("phone", "78 651 450", "you can call me at 78 651 450"),
    ("phone", "416 60 039", "416 60 039 office"),
    ("card", "3598899323053410", "my card 3598899323053410 is lost"),
]
EXAMPLES: list[tuple[str, str, str]] = [
    (kind, value, f"It is {value} and that is all.")
    for table in (_KEYS, _COMMON)
    for kind, values in table.items()
    for value in values
] + _IN_WORDS

NOTHING = [
    "",
    "Order 12345678 arrived on 2024-05-06 at 10:30:45, version 1.2.3.4, build 4.10.0.1.2",
    "Call ticket 12345678. The text 2024-05-06 10:00 is a date; 01.02.2024 12 too.",
    "1234 5678 9012 3456 and 4111111111111112 are no cards; 000-12-3456, 666-12-3456 and 912-12-3456 no numbers",
    "DE88 3704 0044 0532 0130 00 has a wrong check digit",
    "git@github.com is nobody, icon@2x.png is a file",
    "127.0.0.1, 0.0.0.0, 192.168.1.20, 10.0.0.7 and 255.255.255.0 are everywhere; std::list::begin, dead::beef",
    "00:00:00:00:00:00 and ff:ff:ff:ff:ff:ff",
    "my password is not working, the password is incorrect, password: string, password = os.environ['PASSWORD']",
    "api_key = YOUR_API_KEY_GOES_HERE_1234, token: ${SECRET_TOKEN_VALUE_1}, sk-xxxxxxxxxxxxxxxxxxxxxxxx0",
    "AKIA" + "IOSFODNN7EXAMPLE is the manual's",
    "postgres://user:<password>@host/db and redis://localhost:6379/0 and https://$USER:$PASS@host/",
    "eyJhbGciOiJub3QifQ is no token; commit 5f2b1e0c9d8a7b6f5e4d3c2b1a0f9e8d7c6b5a49",
    "$<<700+350000/500=1400.0>>, 95.12345, -200.12345",
    "SKU 12345678A, 756.1234.5678.90, RSSMRA85T10A562T, 811218-9875, 529.982.247-26, 2341 2341 2345",
    "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3",
]


def random_text(source: random.Random) -> str:
    """A few findings of random kinds among words that could be mistaken, in one text."""
    words = ["Hello,", "order 81", "version 1.2.3.4", "2024-05-06", "Ünïcode 漢字", "call me at", "12 12 1212", "token"]
    pieces = [text for _, _, text in source.choices(EXAMPLES, k=source.randint(1, 4))]
    pieces += source.choices(words, k=source.randint(0, 5))
    source.shuffle(pieces)
    return source.choice([" ", "\n", ", "]).join(pieces)
