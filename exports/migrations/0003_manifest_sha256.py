from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("exports", "0002_in_parts"),
    ]

    operations = [
        migrations.AddField(
            model_name="export",
            name="manifest_sha256",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
    ]
