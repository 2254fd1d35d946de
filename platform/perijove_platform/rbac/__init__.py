"""Who may do what, decided once: one dependency yields the `Caller`."""

from perijove_platform.rbac.caller import Authenticator, Caller
from perijove_platform.rbac.dependency import authenticates, requires, scope_of
from perijove_platform.rbac.scopes import SCOPES, Scope

__all__ = ["SCOPES", "Authenticator", "Caller", "Scope", "authenticates", "requires", "scope_of"]
