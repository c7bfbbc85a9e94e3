"""The form by which an operator requests an export for a tenant."""

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget

from exports.datasets import list_datasets
from exports.formats import FORMATS
from exports.models import Export


def dataset_choices() -> list[tuple[str, str]]:
    return [(dataset.name, dataset.name) for dataset in list_datasets()]


def format_choices() -> list[tuple[str, str]]:
    return [(name, name.upper()) for name in FORMATS]


class RequestForm(forms.ModelForm):
    """Not `dataset`: django-unfold takes a posted field of that name for one of its own."""

    dataset_name = forms.ChoiceField(
        label="Dataset", choices=dataset_choices, widget=UnfoldAdminSelectWidget
    )
    format = forms.ChoiceField(choices=format_choices, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = Export
        fields = ("tenant", "format")
