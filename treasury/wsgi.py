"""What gunicorn serves."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "treasury.settings.prod")

application = get_wsgi_application()

# What is loaded now lives as long as the process: the collector need not look at it again with every batch of rows.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 50)
