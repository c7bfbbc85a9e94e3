"""What the admin asks for before it restarts a workflow or moves its deadline."""

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from jobs.admin.workflow_steps import last_step_to_go_on_from, step_names
from jobs.models import Workflow

#: A year: what is later than that is a mistake.
MINUTES_MAX = 525_600


class DeadlineForm(forms.Form):
    minutes = forms.IntegerField(
        label="Minutes from now until it times out",
        min_value=1,
        max_value=MINUTES_MAX,
        initial=30,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
    )


class RestartForm(forms.Form):
    """Of no workflow in particular, it offers no step."""

    from_step = forms.TypedChoiceField(
        label="Go on from",
        help_text="As a new workflow, which keeps the results of the steps before this one.",
        coerce=int,
        widget=UnfoldAdminSelectWidget,
    )

    workflow: Workflow | None = None

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        if self.workflow:
            self.fields["from_step"].choices = steps_to_go_on_from(self.workflow)  # type: ignore[attr-defined]
            self.fields["from_step"].initial = last_step_to_go_on_from(self.workflow)


def restart_form_of(row: Workflow | None) -> type[RestartForm]:
    """Return a form that offers the steps from which this workflow may go on."""

    class RestartFormOfOne(RestartForm):
        workflow = row

    return RestartFormOfOne


def steps_to_go_on_from(workflow: Workflow) -> list[tuple[int, str]]:
    names = step_names(workflow)
    return [
        (number, f"Step {number}: {names.get(number, '?')}")
        for number in range(1, last_step_to_go_on_from(workflow) + 1)
    ]
