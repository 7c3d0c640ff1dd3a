"""Which protocol a meter speaks: the one it is registered with, or the edition that it was found to speak."""

from sqlalchemy import ColumnElement, case, func

from wattkeeper.collection.drivers.dlt645_editions import PROTOCOL_OF_EITHER
from wattkeeper.collection.models import MeterProgress
from wattkeeper.registry.models import Meter


def spoken_protocol() -> ColumnElement[str]:
    """Of a statement over Meter with MeterProgress joined from outside: the protocol that the meter speaks.

    What was found once counts only while the meter is registered as one that is to be asked.
    """
    found = func.coalesce(MeterProgress.speaks, Meter.protocol)
    return case((Meter.protocol == PROTOCOL_OF_EITHER, found), else_=Meter.protocol)
