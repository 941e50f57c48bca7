"""django-hordak on the same work; run with its own Python: `python hordak_peer.py POSTGRESQL_URL`.

Prints one JSON object: entries a second (four legs each) one a commit and 1,000 a commit, and the
p99 of reading one balance, in ms. It has no pending entries, floors, events or log.
"""

import json
import sys
import time
from datetime import date
from urllib.parse import urlsplit

MERCHANTS, SINGLE, BULK, BATCHES, READS = 50, 500, 1_000, 5, 200


def configure(url: str) -> None:
    """Django with the library's models on the database at `url`."""
    import django
    from django.conf import settings

    parts = urlsplit(url)
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "mptt", "hordak"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": parts.path[1:],
                "USER": parts.username,
                "PASSWORD": parts.password,
                "HOST": parts.hostname,
                "PORT": parts.port,
            }
        },
        HORDAK_CURRENCIES=["EUR"],
        HORDAK_INTERNAL_CURRENCY="EUR",
        DEFAULT_CURRENCY="EUR",
        USE_TZ=True,
    )
    django.setup()


def measure() -> dict[str, float]:
    """Everything, with the library's own models and its database's own checks."""
    from django.core.management import call_command
    from django.db import transaction
    from djmoney.money import Money
    from hordak.models import Account, Leg, Transaction

    call_command("migrate", verbosity=0)
    treasury, external, custody, *merchants = (
        Account.objects.create(name=f"account {number}", code=str(number), type=kind)
        for number, kind in enumerate(("AS", "LI", "AS", *("LI",) * MERCHANTS))
    )
    # Plain rows: the tree and the codes were counted when the accounts were made.
    amount = Money(10, "EUR")

    def legs(entry: Transaction, index: int) -> list[Leg]:
        return [
            Leg(transaction=entry, account=treasury, debit=amount),
            Leg(transaction=entry, account=external, credit=amount),
            Leg(transaction=entry, account=custody, debit=amount),
            Leg(transaction=entry, account=merchants[index % MERCHANTS], credit=amount),
        ]

    def book(count: int) -> None:
        with transaction.atomic():
            entries = [Transaction(date=date(2026, 11, 20), description="b") for _ in range(count)]
            Transaction.objects.bulk_create(entries)
            rows = [leg for index, entry in enumerate(entries) for leg in legs(entry, index)]
            Leg.objects.bulk_create(rows)

    book(10)
    began = time.perf_counter()
    for _ in range(SINGLE):
        book(1)
    single = SINGLE / (time.perf_counter() - began)
    began = time.perf_counter()
    for _ in range(BATCHES):
        book(BULK)
    bulk = BATCHES * BULK / (time.perf_counter() - began)
    took = []
    for number in range(READS):
        began = time.perf_counter()
        merchants[number % MERCHANTS].get_balance()
        took.append(time.perf_counter() - began)
    took.sort()
    return {"single": single, "bulk": bulk, "read_p99_ms": took[int(READS * 0.99)] * 1000}


if __name__ == "__main__":
    configure(sys.argv[1])
    print(json.dumps(measure()))
