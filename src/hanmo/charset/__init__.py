"""Characters: charsets, the sets of characters that have names, and groups of characters that look the same.

:class:`Charset` is an ordered list of characters; :func:`named_charset` gives one by name, such as "level1" or
"digits+latin"; :func:`group_of` tells which characters cannot be told apart on a picture of one character;
:func:`components_of` takes a Chinese character apart.
"""

from __future__ import annotations

from hanmo.charset.charset import Charset as Charset
from hanmo.charset.charset import list_characters as list_characters
from hanmo.charset.components import components_of as components_of
from hanmo.charset.groups import GROUPS as GROUPS
from hanmo.charset.groups import Group as Group
from hanmo.charset.groups import group_of as group_of
from hanmo.charset.groups import groups_within as groups_within
from hanmo.charset.groups import merge_groups as merge_groups
from hanmo.charset.members import Choice as Choice
from hanmo.charset.members import Members as Members
from hanmo.charset.members import check_groups as check_groups
from hanmo.charset.named import JOINER as JOINER
from hanmo.charset.named import SETS as SETS
from hanmo.charset.named import all_named as all_named
from hanmo.charset.named import expand as expand
from hanmo.charset.named import list_sets as list_sets
from hanmo.charset.named import named_charset as named_charset
from hanmo.charset.named import select as select
from hanmo.charset.named import sets_within as sets_within
