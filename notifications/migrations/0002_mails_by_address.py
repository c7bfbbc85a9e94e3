from django.db import migrations, models
from django.db.models.functions import Upper


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_notifications")]

    operations = [
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(Upper("email"), models.F("id"), name="notifications_by_address"),
        ),
    ]
