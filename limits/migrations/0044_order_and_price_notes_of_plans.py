"""The order in which plans are listed, and their price notes. Servers of the release before add rows without these
columns."""

from django.db import migrations, models

import limits.models.fields

POSITION = models.PositiveSmallIntegerField(db_default=0, default=0, editable=False)
PRICE_NOTE = models.CharField(
    blank=True,
    db_default="",
    default="",
    help_text="For people, such as “€ 49 a month”. It is not part of the limits, and not checked.",
    max_length=200,
    validators=[limits.models.fields.validate_printable],
)


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0043_authors_of_silences"),
    ]

    operations = [
        migrations.AlterModelOptions(name="plan", options={"ordering": ["position", "-is_default", "name"]}),
        *(
            migrations.AddField(model_name=model, name=name, field=field.clone())
            for model in ("historicalplan", "plan")
            for name, field in (("position", POSITION), ("price_note", PRICE_NOTE))
        ),
    ]
