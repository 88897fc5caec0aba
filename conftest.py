"""What all tests share.

pytest names test modules by their folders from here, so `btcore.tests` needs a `btcore`: this imports the package,
before pytest would take the folder of the same name for it.
"""

import btcore  # noqa: F401 - see above
