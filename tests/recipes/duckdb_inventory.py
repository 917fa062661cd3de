"""The export of an account in DuckDB: SQL over the lines of the command `inventory`.

`digitalocean-projects inventory -o jsonl > inventory.jsonl` writes one line for each resource, with
the name and the id of its project. DuckDB reads the file as it is. Needs `pip install duckdb`.
"""
# DuckDB isn't installed where types are checked.
# mypy: ignore-errors

import duckdb

QUERY = """
    select project, type, count(*) as resources, max(assigned_at::timestamptz)::date as newest
    from 'inventory.jsonl' group by all order by resources desc, project, type
"""

if __name__ == "__main__":
    for row in duckdb.sql(QUERY).fetchall():
        print(*row)  # noqa: T201 - the result of the program
