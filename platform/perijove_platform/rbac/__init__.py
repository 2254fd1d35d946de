"""Who may do what, decided once: one dependency yields the `Caller`."""

from perijove_platform.rbac.caller import Authenticator, Caller
from perijove_platform.rbac.dependency import requires, scope_of
from perijove_platform.rbac.scopes import SCOPES, Scope

__all__ = ["SCOPES", "Authenticator", "Caller", "Scope", "requires", "scope_of"]
