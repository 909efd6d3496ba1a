"""Triggers beneath the two layers and the closed year: what a bug or raw SQL must not do either."""

import pgtrigger

# What the closing of a year itself may still post, after everybody else was stopped. Source: docs/budget.md.
CLOSING_KINDS = ("carry_out", "recover_unused", "lapse")


def children_within_parent() -> pgtrigger.Trigger:
    """Σ children ≤ what the parent has given on (I-5), asked when the transaction ends; the parent is locked first."""
    return pgtrigger.Trigger(
        name="children_within_parent",
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.Update,
        timing=pgtrigger.Deferred,
        condition=pgtrigger.Q(new__layer="department") | pgtrigger.Q(new__parent__isnull=False),
        declare=[("wanted", "uuid"), ("given_on", "numeric"), ("standing", "text"), ("below", "numeric")],
        func=pgtrigger.Func(
            """
            wanted := CASE WHEN NEW.layer = 'department' THEN NEW.id ELSE NEW.parent_id END;
            IF TG_OP = 'UPDATE' THEN
                IF NEW.amount_total = OLD.amount_total
                   AND (NEW.layer <> 'department' OR NEW.amount_planned = OLD.amount_planned) THEN
                    RETURN NULL;  -- a payment or plan of a child: the parent is not locked for it
                END IF;
            END IF;
            SELECT amount_planned, layer INTO given_on, standing FROM budget_budgetindicator
             WHERE id = wanted FOR NO KEY UPDATE;
            SELECT COALESCE(sum(amount_total), 0) INTO below FROM budget_budgetindicator WHERE parent_id = wanted;
            IF standing <> 'department' OR below > given_on THEN
                RAISE EXCEPTION 'children of indicator % hold %, given on %', wanted, below, given_on
                      USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
            """
        ),
    )


def open_year_only(table: str, key: str) -> pgtrigger.Trigger:
    """No entry in a year that is closed; while it is being closed only what closing itself posts.

    The year is locked in share mode: whoever begins to close it waits for entries under way, and later ones see it.
    """
    kinds = ", ".join(f"'{kind}'" for kind in CLOSING_KINDS)
    return pgtrigger.Trigger(
        name="open_year_only",
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        level=pgtrigger.Statement,
        referencing=pgtrigger.Referencing(new="new_rows"),
        declare=[("standing", "record")],
        func=pgtrigger.Func(
            f"""
            FOR standing IN
                SELECT y.id, y.adm_div_code, y.fiscal_year, y.state FROM budget_budgetyear y
                 WHERE EXISTS (SELECT 1 FROM new_rows n JOIN {table} b ON b.id = n.{key}
                                WHERE (b.adm_div_code, b.fiscal_year) = (y.adm_div_code, y.fiscal_year))
                 ORDER BY y.id FOR SHARE
            LOOP
                IF standing.state = 'closed' OR standing.state = 'closing' AND EXISTS (
                    SELECT 1 FROM new_rows n JOIN {table} b ON b.id = n.{key}
                     WHERE b.adm_div_code = standing.adm_div_code AND b.fiscal_year = standing.fiscal_year
                       AND n.kind NOT IN ({kinds}))
                THEN
                    RAISE EXCEPTION 'budget year % of % is %', standing.fiscal_year, standing.adm_div_code,
                          standing.state USING ERRCODE = 'check_violation';
                END IF;
            END LOOP;
            RETURN NULL;
            """
        ),
    )
