from django.db import migrations, models


class Migration(migrations.Migration):
    """NULL is right for the rows that there are: their restarts had their definition's deadline."""

    dependencies = [
        ("jobs", "0006_workflows"),
    ]

    operations = [
        migrations.AddField(
            model_name="workflow",
            name="deadline_seconds",
            field=models.PositiveIntegerField(null=True),
        ),
    ]
