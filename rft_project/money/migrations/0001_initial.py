

import django.core.validators
import django.db.models.deletion
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('connections', '0007_permissions_and_remedy'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Cap',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('about', models.CharField(blank=True, max_length=40)),
                ('usd', models.DecimalField(blank=True, decimal_places=2, max_digits=12, null=True)),
                ('tokens', models.BigIntegerField(blank=True, null=True)),
                ('turns', models.BigIntegerField(default=0, editable=False)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='caps', to='connections.workspace')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('workspace', 'about'), name='one_cap_per_subject')],
            },
        ),
        migrations.CreateModel(
            name='Expense',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('about', models.CharField(max_length=40)),
                ('subject', models.CharField(max_length=200)),
                ('where', models.CharField(max_length=120)),
                ('model', models.CharField(max_length=200)),
                ('purpose', models.CharField(choices=[('dry_run', 'Dry run'), ('judge', 'Judge'), ('generation', 'Generation'), ('training', 'Training'), ('evaluation', 'Comparison'), ('sorting', 'Sorting')], max_length=20)),
                ('key', models.CharField(max_length=160)),
                ('tokens_in', models.BigIntegerField(default=0)),
                ('tokens_out', models.BigIntegerField(default=0)),
                ('seconds', models.FloatField(default=0.0)),
                ('usd', models.DecimalField(decimal_places=6, max_digits=14, null=True)),
                ('settled', models.BooleanField(default=False)),
                ('at', models.DateTimeField()),
                ('connection', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='connections.connection')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='expenses', to='connections.workspace')),
            ],
            options={
                'ordering': ['-at'],
                'indexes': [models.Index(fields=['workspace', 'about', 'at'], name='expense_about')],
                'constraints': [models.UniqueConstraint(fields=('workspace', 'key'), name='one_expense_per_key')],
            },
        ),
        migrations.CreateModel(
            name='Price',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=40)),
                ('model', models.CharField(max_length=200)),
                ('input', models.DecimalField(blank=True, decimal_places=4, max_digits=12, null=True, validators=[django.core.validators.MinValueValidator(Decimal('0'))], verbose_name='USD per million input tokens')),
                ('output', models.DecimalField(blank=True, decimal_places=4, max_digits=12, null=True, validators=[django.core.validators.MinValueValidator(Decimal('0'))], verbose_name='USD per million output tokens')),
                ('training_hour', models.DecimalField(blank=True, decimal_places=4, max_digits=12, null=True, validators=[django.core.validators.MinValueValidator(Decimal('0'))], verbose_name='USD per hour of training')),
                ('hosting_hour', models.DecimalField(blank=True, decimal_places=4, max_digits=12, null=True, validators=[django.core.validators.MinValueValidator(Decimal('0'))], verbose_name='USD per hour of a deployment')),
                ('entered_at', models.DateTimeField(auto_now=True)),
                ('entered_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='prices', to='connections.workspace')),
            ],
            options={
                'ordering': ['kind', 'model'],
                'constraints': [models.UniqueConstraint(fields=('workspace', 'kind', 'model'), name='one_price_per_model', nulls_distinct=False)],
            },
        ),
    ]
