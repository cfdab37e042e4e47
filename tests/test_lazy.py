import subprocess
import sys
import types

import pytest

from earwitness.lazy import lazy_exports


def test_names_are_found_kept_and_listed() -> None:
    package = types.ModuleType("email")  # any package with a submodule will do
    sys.modules["email_for_test"] = package
    get, names = lazy_exports("email", {"parseaddr": "utils"})
    from email.utils import parseaddr

    assert get("parseaddr") is parseaddr
    assert "parseaddr" in names()
    with pytest.raises(AttributeError, match="module 'email' has no attribute 'nothing'"):
        get("nothing")


@pytest.mark.parametrize("room", ["adapters", "decoding"])
def test_importing_a_room_imports_no_torch(room: str) -> None:
    code = f"import sys, earwitness.{room} as room; assert 'torch' not in sys.modules; assert dir(room)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_are_there() -> None:
    from earwitness.adapters import Chain, LinearAdapter, TwoStreamAdapter
    from earwitness.decoding import CausalLanguageModel, EncoderDecoderLanguageModel, Prompt, TokenGuide
    from earwitness.losses import cauchy_schwarz_divergence, info_nce, token_cauchy_schwarz

    names = [Chain, LinearAdapter, TwoStreamAdapter, CausalLanguageModel, EncoderDecoderLanguageModel, Prompt]
    names += [TokenGuide, cauchy_schwarz_divergence, info_nce, token_cauchy_schwarz]
    assert all(name.__module__.startswith("earwitness.") for name in names)
