"""``hwnas measure`` and ``hwnas devices``."""

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli import console
from hwnas.cli.options import Replace, Verbose, numbers

DeviceOption = Annotated[str, typer.Option(metavar="NAME|PATH.toml", help="Hardware profile.")]


def measure(
    model: Annotated[Path, typer.Argument(help="Any ONNX file.", show_default=False)],
    device: DeviceOption = "local-cpu",
    json_file: Annotated[Path | None, typer.Option("--json", metavar="F", help="Write everything measured as JSON.")] = None,
    shape: Annotated[list[str] | None, typer.Option(metavar="NAME=N", help="Size of a symbolic dimension.")] = None,
    replace: Replace = False,
    verbose: Verbose = False,
) -> None:
    """Measure the latency of an ONNX file on a device.

    The interval is that of one session. Between sessions the reference model's own nominal latency, to which drift is
    corrected, varies besides: by up to 4 % beside two busy processes. Within a search it is fixed.
    """
    from hwnas import api
    from hwnas.api.measuring import measured_facts, profile_of

    output = None if json_file is None else api.Output(path=json_file, kind=api.MEASUREMENT, reads=[model], replace=replace)
    if output is not None:
        output.refuse_unwritable()
    profile = profile_of(device)  # read once: the file may change meanwhile
    latency, fingerprint = api.measure(model, profile, shapes=numbers(shape or [], "--shape", int))
    if output is not None:  # first: what is printed may go to a pipe that nobody reads to its end
        content = {"model": str(model), "device": device, **latency.to_json(), "fingerprint": fingerprint.to_json()}
        output.write_json(content)
    console.show_facts(measured_facts(device, profile, latency, fingerprint))


def devices(
    check: Annotated[bool, typer.Option("--check", help="Reach each device, say what it is and how quiet.")] = False,
    device: Annotated[list[str] | None, typer.Option(metavar="NAME|PATH.toml", help="Only this one; may be repeated.")] = None,
    new: Annotated[
        str | None, typer.Option("--new", metavar="ssh|local", help="Print a profile of your own device, to fill in and save.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """List the hardware profiles. Exit code 1 where one named by --device was not reached."""
    from hwnas import api

    if new is not None:
        console.emit(api.new_profile(new).rstrip("\n"))
        return
    found = api.devices(check=check, names=device)
    if not check:
        rows = [[each.name, each.profile.kind, each.reached, each.profile.description] for each in found]
        console.show_table(["name", "kind", "reached", "description"], rows)
        if device is None:
            console.note(f"\nThey lie in {api.profiles_folder()}. One of your own: hwnas devices --new ssh > mine.toml")
    for each in found if check else ():
        console.show_facts(each.facts())
        console.emit("")
    if device and any(each.problem for each in found):
        raise typer.Exit(1)
