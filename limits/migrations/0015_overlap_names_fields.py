"""The constraint on overlapping overrides names fields in place of columns, so that the validation of
forms compares their values. In the database it is the same."""

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
from django.db import migrations
from django.db.models import F, Func, Value


def _same(field: str) -> Func:
    return Func(F(field), F(field), Value("[]"), function="int8range")


class Migration(migrations.Migration):
    dependencies = [("limits", "0014_import_leases")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveConstraint(model_name="override", name="override_no_overlap"),
                migrations.AddConstraint(
                    model_name="override",
                    constraint=django.contrib.postgres.constraints.ExclusionConstraint(
                        expressions=[
                            (_same("client"), "&&"),
                            (_same("policy"), "&&"),
                            (
                                Func(
                                    "starts_at",
                                    "ends_at",
                                    function="tstzrange",
                                    output_field=django.contrib.postgres.fields.ranges.DateTimeRangeField(),
                                ),
                                "&&",
                            ),
                        ],
                        name="override_no_overlap",
                        violation_error_message="It overlaps another override of this client and policy.",
                    ),
                ),
            ]
        )
    ]
