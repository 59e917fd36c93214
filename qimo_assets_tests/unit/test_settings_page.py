"""The page of all settings says what the settings themselves say."""

from __future__ import annotations

from qimo_assets.settings import PROJECT_ROOT, Group, Settings
from qimo_assets.settings_reference import reference

PAGE = PROJECT_ROOT / "docs" / "settings.md"


def test_the_page_is_the_one_that_the_settings_make() -> None:
    assert PAGE.read_text() == reference(), (
        "write it anew: python -m qimo_assets.settings_reference > docs/settings.md"
    )


def test_every_setting_says_what_it_means() -> None:
    groups = {
        name: field.annotation
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Group)
    }
    silent = [
        f"{group}.{name}"
        for group, model in groups.items()
        for name, field in model.model_fields.items()
        if not (field.description or "").strip()
    ]
    assert len(groups) == len(Settings.model_fields)
    assert silent == []
