from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand
from django.db import connection


class Command(BaseCommand):
    """Give the application role its rights: everything on ordinary tables, only INSERT and SELECT on facts.

    Run by the owner after `migrate`. A fact table is one whose model carries the `append_only` trigger.
    Example: manage.py grant_app_role --role guoku_app
    """

    help = "Grant the application role its rights; facts can be added and read, not changed."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--role", default="guoku_app")

    def handle(self, *args: Any, role: str, **options: Any) -> None:
        facts = [
            model._meta.db_table
            for model in apps.get_models()
            if any(trigger.name == "append_only" for trigger in getattr(model._meta, "triggers", []))
        ]
        quote = connection.ops.quote_name
        with connection.cursor() as cursor:
            cursor.execute(f"GRANT USAGE ON SCHEMA public TO {quote(role)}")
            cursor.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {quote(role)}")
            cursor.execute(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {quote(role)}")
            for table in facts:
                cursor.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON {quote(table)} FROM {quote(role)}")
            for model in apps.get_models():
                if columns := getattr(model, "written_once", ()):  # the database adds the rows; these are filled once
                    table = quote(model._meta.db_table)
                    cursor.execute(f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {table} FROM {quote(role)}")
                    cursor.execute(f"GRANT UPDATE ({', '.join(columns)}) ON {table} TO {quote(role)}")
        self.stdout.write(f"{role}: {len(facts)} fact tables are append-only")
