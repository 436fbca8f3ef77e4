"""Data sets on the hub of Hugging Face: whether it answers, asked once before its libraries do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from spos._util.errors import UserError

#: Seconds in which the hub is to be connected to, and in which it is to answer.
PATIENCE = 5.0
#: Where the library of tables and that of the hub keep what HF_HUB_OFFLINE said at their import.
SWITCHES = ("datasets.config", "huggingface_hub.constants")


@contextmanager
def on_hub(name: str) -> Iterator[None]:
    """Load a data set by its name: from the caches alone if the hub does not answer soon.

    The libraries would try again for half a minute before they look there.

    Args:
        name (str): name of the data set.

    Raises:
        UserError: the hub has no such data set, or is not reached and there is no copy of it.
    """
    missing = import_module("datasets.exceptions").DatasetNotFoundError
    modules = [import_module(one) for one in SWITCHES]
    before = [one.HF_HUB_OFFLINE for one in modules]
    reason = _ask(name)
    try:
        if reason:
            for module in modules:
                vars(module)["HF_HUB_OFFLINE"] = True
        yield
    except UserError:
        raise
    except missing as error:
        raise UserError(
            "unknown: the hub has no such data set, or only for those with access; check the name, "
            "or log in by hf auth login"
        ) from error
    except Exception as error:
        if not reason:
            raise
        raise UserError(
            f"the hub was not reached ({reason}), and there is no copy of it here; check the "
            "connection, or give the path of a data set saved to disk"
        ) from error
    finally:
        for module, value in zip(modules, before, strict=True):
            vars(module)["HF_HUB_OFFLINE"] = value


def _ask(name: str) -> str:
    """Why the hub is not reached; empty if it is."""
    hub, errors = map(import_module, ("huggingface_hub", "huggingface_hub.errors"))
    endpoint = import_module("datasets.config").HF_ENDPOINT
    try:
        hub.HfApi(endpoint=endpoint).dataset_info(name, timeout=PATIENCE)
    except (errors.HfHubHTTPError, errors.HFValidationError):
        # An answer, or a name of another form, of which the library says more.
        return ""
    # The libraries of connections that it has used have no class of errors in common.
    except Exception as error:
        return " ".join(str(error).split())[:200] or type(error).__name__
    return ""
