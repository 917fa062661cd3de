"""Tables: the forms of the output, and the names of the columns that each table can have."""

from __future__ import annotations

from digitalocean_projects._messages import quoted

FORMS = ("text", "json", "jsonl")
TABLE_FORMS = (*FORMS, "csv")


class Table:
    """The names of a table's columns.

    It is no attrs class, since attrs loads in 20 ms.

    Args:
        names: The names of all columns, separated by commas.
        default: The names of the columns that a table has by default.
        csv_default: The names of the columns that CSV has by default; "" for all.
    """

    def __init__(self, names: str, default: str, csv_default: str = "") -> None:
        self.names = names
        self.default = default
        self.csv_default = csv_default or names

    def named(self, names: str) -> tuple[str, ...]:
        """Return the names of the columns in a text, where they may be in any case.

        Raises:
            ValueError: A name is unknown.
        """
        known = {name.lower(): name for name in self.names.split(",")}
        wanted = [name.strip() for name in names.split(",")]
        if unknown := [name for name in wanted if name.lower() not in known]:
            raise ValueError(f"unknown column {quoted(unknown[0])}; choose from {self.names}")
        return tuple(known[name.lower()] for name in wanted)


RESOURCES = Table("URN,Type,ID,AssignedAt,Status,SelfLink", default="URN,AssignedAt,Status")
PROJECTS = Table(
    "ID,OwnerUUID,OwnerID,Name,Description,Purpose,Environment,IsDefault,CreatedAt,UpdatedAt",
    default="ID,Name,Environment,IsDefault",
)
PROJECT_OF_ROW = ("Project", "ProjectID")
ROWS = Table(",".join([*PROJECT_OF_ROW, RESOURCES.names]), default="Project,URN,AssignedAt,Status")
ROWS_OF_ONE_PROJECT = Table(ROWS.names, RESOURCES.default, csv_default=RESOURCES.names)
ROWS_OF_ACCOUNT = Table(f"Context,{ROWS.names}", ROWS.default, csv_default=ROWS.names)
ROWS_OF_ACCOUNTS = Table(ROWS_OF_ACCOUNT.names, f"Context,{ROWS.default}")
CHANGES = Table("Change,URN,From,To", default="Change,URN,From,To")
MOVES = Table("Action,URN,From,To,FromID,ToID", default="Action,URN,From,To")
