"""The API's reference as a page, made from its own description."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse

from wattkeeper.web.access import needs
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False, dependencies=[needs()])

# The API describes itself in English; its reference page says the same in the visitor's language.
SUBJECTS: Final = (
    N_("overview"), N_("meters"), N_("load curves"), N_("links"), N_("areas"), N_("alarms"), N_("notices"), N_("bills"), N_("tariffs"), N_("accounts"), N_("customers"),
    N_("payments"), N_("import"), N_("series"), N_("readings as files"), N_("search"), N_("portal"), N_("commands"), N_("collection"), N_("remote collectors"),
    N_("validation"), N_("edits"), N_("archive"),
)  # fmt: skip
SUMMARIES: Final = (
    N_("The figures of the overview"), N_("Links with state and success"), N_("List meters"), N_("One meter"),
    N_("Latest values of a meter"), N_("Readings of a meter"), N_("Read a meter now"),
    N_("The frames of a value, explained"), N_("Series over time"), N_("Series over time, as a file"), N_("Readings or intervals as a file"), N_("What a file's columns seem to mean"),
    N_("What importing a file of readings would do"), N_("Import a file of readings"), N_("Load curve of a metering point"), N_("Energy of all points together"),
    N_("Heat map of a metering point"), N_("What happened to a meter"), N_("Add a meter"), N_("Change a meter"), N_("Record a meter exchange"), N_("Add a link"),
    N_("Change a link"), N_("The tree of areas"), N_("One area"), N_("Load curve of an area"), N_("Add an area"),
    N_("Rename or move an area"), N_("Move metering points to an area"),
    N_("List alarms"), N_("One alarm"), N_("Acknowledge an alarm"), N_("List notices with their proof"), N_("Who is told"),
    N_("Tell somebody from now on"), N_("Tell somebody no more"), N_("Send somebody a test"),
    N_("List bills"), N_("One bill"), N_("A bill as PDF"), N_("Issue a bill"), N_("Bill all accounts for a month"),
    N_("List bill runs"), N_("How far a bill run is"), N_("Tariffs"), N_("Give a tariff to accounts without one"), N_("List accounts"),
    N_("Record a payment"), N_("Payments of an account"), N_("The template to fill in"), N_("What a file would do"),
    N_("Import a file, all of it or nothing"), N_("Find things by number or name"), N_("Your accounts"), N_("Your usage"), N_("Your bills"),
    N_("One of your bills"), N_("One of your bills as PDF"), N_("Your payments"), N_("Your meters"),
    N_("Cancel a bill"), N_("List payments"), N_("One payment"), N_("One tariff"), N_("Tariffs of an account"),
    N_("Give an account a tariff"), N_("One account"), N_("Change an account"), N_("Close an account"),
    N_("Let an account pay for a metering point"), N_("Statement of an account"), N_("List customers"),
    N_("Enter a customer"), N_("One customer"), N_("Change a customer"), N_("Open an account"),
    N_("List what meters were told"), N_("Tell meters something"), N_("What meters were told at once"),
    N_("What became of each meter of a batch"), N_("Agree to a command as the second person"),
    N_("Refuse a command as the second person"), N_("Take a command back"), N_("List commands"),
    N_("One command and its steps"), N_("What a meter says of its relay"), N_("List standing orders"),
    N_("Ask for a standing order"), N_("Agree to a standing order as the second person"), N_("End a standing order"),
    N_("Success, latency and failures of reading"), N_("List recordings"), N_("Record a link"), N_("One recording"),
    N_("A recording as a file"), N_("End a recording"), N_("Delete a recording"), N_("List reading plans"),
    N_("One reading plan"), N_("Add a reading plan"), N_("Change a reading plan"), N_("Delete a reading plan"),
    N_("Deliver a batch of readings"), N_("Which meters are registered here"), N_("Remote collectors"),
    N_("What waits for the platform"), N_("List what validation found"), N_("Count what is open"), N_("One finding"),
    N_("Decide about a finding"), N_("The rules"), N_("What parameters were set to"),
    N_("Set a parameter of a rule from an instant on"), N_("List edits"), N_("One edit and its steps"),
    N_("Ask for readings or intervals to be changed"), N_("Agree to an edit, or to its undoing, as the second person"),
    N_("Refuse an edit, or its undoing, as the second person"), N_("Take back what waits for a second person"),
    N_("Ask for an edit to be undone"), N_("What an edit changes, value by value"), N_("Every version of one reading"),
    N_("Every version of one interval"), N_("List the months the store has"), N_("List what the archive has"),
    N_("Write a month to the archive"), N_("Bring a month back from the archive"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API."""

    method: str
    path: str
    summary: str
    parameters: str
    plain: bool
    """Whether a browser can simply open it."""


@router.get("/api/v1/openapi.json")
def description(request: Request) -> JSONResponse:
    """The API's description (OpenAPI 3.1)."""
    return JSONResponse(request.app.openapi())


@router.get("/api", response_class=HTMLResponse)
def reference_page(request: Request) -> HTMLResponse:
    """Every operation by subject."""
    return render(request, "api.html", groups=_groups(request.app, language_of(request)))


def _groups(application: FastAPI, say: Language) -> list[tuple[str, list[Operation]]]:
    groups: dict[str, list[Operation]] = defaultdict(list)
    for path, methods in application.openapi()["paths"].items():
        for method, described in methods.items():
            names = [
                parameter["name"]
                for parameter in described.get("parameters", [])
                if parameter["in"] != "path"
            ]
            summary, subject = described["summary"], described["tags"][0]
            operation = Operation(
                method=method.upper(),
                path=path,
                summary=say.text(summary),
                parameters=", ".join(names),
                plain=method == "get" and "{" not in path,
            )
            groups[say.text(subject)].append(operation)
    return list(groups.items())
