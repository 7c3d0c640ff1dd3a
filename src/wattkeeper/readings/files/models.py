"""What was said of the columns of files, in the ledger database."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from wattkeeper.kernel.columns import Json
from wattkeeper.kernel.database import Base


class FileMapping(Base):
    """What the columns of files with these headings mean, as it was said at the last import of one."""

    __tablename__ = "file_mapping"

    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    """Of the headings: `mapping.fingerprint`."""
    name: Mapped[str]
    """The file it was last said of."""
    mapping: Mapped[Any] = mapped_column(Json)
    used_at: Mapped[datetime]
    used_by: Mapped[str]
