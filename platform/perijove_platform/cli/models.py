"""`perijove models`."""

from pathlib import Path
from urllib.parse import quote

import click

from perijove_platform.cli.failures import Failed, Json
from perijove_platform.cli.following import Events, follow
from perijove_platform.cli.session import Session, field, size_text, with_session
from perijove_platform.cli.uploads import progress


@click.group("models")
def command() -> None:
    """Pull, register, name, load and delete models."""


@command.command("list")
@with_session
def list_models(session: Session) -> None:
    """List models."""
    session.table(
        session.call("GET", "/v1/models")["data"],
        [
            ("ID", field("id")),
            ("KIND", field("kind")),
            ("STATE", lambda model: " – ".join(filter(None, (model["state"], model["state_reason"])))),
            ("SIZE", lambda model: size_text(model["size_bytes"])),
            ("BASE", field("base_model")),
            ("ALIASES", lambda model: ", ".join(model["aliases"])),
        ],
        empty="There are no models. Pull one with `perijove models pull ORG/NAME`.",
    )


@command.command()
@click.argument("repo")
@click.option("--file", help="Which GGUF file of the repository.")
@click.option("--revision", help="A branch, tag or commit.")
@click.option("--id", "model_id", help="The name to give it.")
@click.option("--no-wait", is_flag=True, help="Return once the pull has begun.")
@with_session
def pull(
    session: Session, repo: str, file: str | None, revision: str | None, model_id: str | None, no_wait: bool
) -> None:
    """Pull a model from a Hugging Face hub: REPO is organization/name."""
    optional = {"file": file, "revision": revision}
    source = {"type": "hub", "repo": repo, **{name: value for name, value in optional.items() if value}}
    _create(session, source, model_id, wait=not no_wait)


@command.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--id", "model_id", help="The name to give it.")
@with_session
def register(session: Session, path: Path, model_id: str | None) -> None:
    """Register a GGUF file, or a folder with one, of the platform's machine."""
    _create(session, {"type": "path", "path": str(path.absolute())}, model_id, wait=True)


def _create(session: Session, source: Json, model_id: str | None, *, wait: bool) -> None:
    body = {"source": source, **({"id": model_id} if model_id else {})}
    with follow(session) as events:
        model = session.call("POST", "/v1/models", json=body)
        if wait and model["state"] == "pulling":
            model = _pulled(session, events, model)
    if model["state"] == "failed":
        raise Failed(f"{model['id']}: {model['state_reason']}")
    session.show(model, f"{model['id']} is {model['state']}.")


def _pulled(session: Session, events: Events, model: Json) -> Json:
    """The model once its pull has ended. Raises `Failed` when it was cancelled."""
    total = (model["progress"] or {}).get("total_bytes") or model["size_bytes"]
    done = 0
    with progress(session, model["id"], total) as advance:
        while model["state"] == "pulling":
            model = _next_state(events, model)
            now = (model["progress"] or {}).get("bytes") or done
            advance(now - done)
            done = now
    return model


def _next_state(events: Events, model: Json) -> Json:
    changed = events.next_state("model", model["id"], _path(model["id"]))
    if changed is None:
        raise Failed(f"{model['id']} was deleted.")
    return changed


def _path(model: str, action: str = "") -> str:
    return f"/v1/models/{quote(model, safe='/:@')}{action}"


@command.command()
@click.argument("model")
@with_session
def load(session: Session, model: str) -> None:
    """Start the model's engine now, not at the first request."""
    with follow(session) as events:
        found = session.call("POST", _path(model, "/load"))
        began = False
        # "available" is also what it is before the load has begun.
        while found["state"] not in ("loaded", "failed") and not (began and found["state"] == "available"):
            found = _next_state(events, found)
            began = True
    if found["state"] != "loaded":
        raise Failed(f"{found['id']} is {found['state']}: {found['state_reason'] or 'it could not be loaded'}")
    session.show(found, f"{found['id']} is loaded.")


@command.command()
@click.argument("model")
@with_session
def unload(session: Session, model: str) -> None:
    """Stop the model's engine and free its memory."""
    with follow(session) as events:
        found = session.call("POST", _path(model, "/unload"))
        while found["state"] == "loaded":
            found = _next_state(events, found)
    session.show(found, f"{found['id']} is {found['state']}.")


@command.command()
@click.argument("models", nargs=-1, required=True)
@with_session
def delete(session: Session, models: tuple[str, ...]) -> None:
    """Delete models."""
    deleted = (session.call("DELETE", _path(model)) for model in models)
    session.show_each(deleted, lambda model: f"Deleted {model['id']}.")


@command.command()
@click.argument("model")
@click.argument("name")
@click.option("--remove", is_flag=True, help="Take the name away.")
@with_session
def alias(session: Session, model: str, name: str, remove: bool) -> None:
    """Give a model a further NAME, by which requests find it too."""
    if remove:
        found = session.call("DELETE", _path(model, f"/aliases/{quote(name, safe='')}"))
        session.show(found, f"{found['id']} is no longer called {name}.")
        return
    found = session.call("POST", _path(model, "/aliases"), json={"alias": name})
    session.show(found, f"{found['id']} is also called {name}.")
