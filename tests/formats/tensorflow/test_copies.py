"""What an export stores twice: each variable once in each list, however many look alike."""

from modelscan.formats.tensorflow.copies import second_copies
from modelscan.program import Entry, MetaGraph, SavedObject, SavedVariable


def exported(own, used, **lists):
    """A program whose lists hold variables of these (name, checksum), and the entries of their values."""
    lists = {"variables": own, "_all_variables": used, **lists}
    objects = [SavedObject("user_object", {name: 1 + at for at, name in enumerate(lists)})]
    objects += [SavedObject("user_object")] * len(lists)
    entries = {}
    for at, (name, variables) in enumerate(lists.items()):
        children = {}
        for number, (title, crc) in enumerate(variables):
            key = f"{name}/{number}"
            entries[key] = Entry(key, "float32", (4,), 0, 16 * len(entries), 16, crc)
            children[str(number)] = len(objects)
            objects.append(SavedObject("variable", variable=SavedVariable("float32", (4,), "bias" in title, title), key=key))
        objects[1 + at] = SavedObject("user_object", children)
    return second_copies(MetaGraph(objects=tuple(objects)), entries)


def test_variables_that_look_alike_are_not_copies_of_one_another():
    found = exported([("net/bias", 7)] * 3, [("net/bias", 7)] * 3)
    assert found.copies == {f"_all_variables/{at}": f"variables/{at}" for at in range(3)}
    assert not found.state


def test_the_order_of_the_lists_does_not_matter():
    found = exported([("a/bias", 1), ("b/bias", 2)], [("b/bias", 2), ("a/bias", 1)])
    assert found.copies == {"_all_variables/0": "variables/1", "_all_variables/1": "variables/0"}


def test_a_copy_that_was_changed_is_still_the_second_entry_of_its_variable():
    assert exported([("a/bias", 1), ("a/bias", 2)], [("a/bias", 2), ("a/bias", 9)]).copies == {
        "_all_variables/0": "variables/1",
        "_all_variables/1": "variables/0",
    }


def test_what_the_model_does_not_list_among_its_own_is_what_a_layer_remembers():
    found = exported([("a/bias", 1)], [("a/bias", 1), ("lstm/rnn_state", 0), ("lstm/rnn_state", 0)])
    assert found.copies == {"_all_variables/0": "variables/0"}
    assert found.state == {"_all_variables/1", "_all_variables/2"}


def test_a_trained_variable_is_a_weight_wherever_it_is_listed():
    assert exported([], [("a/bias", 1)]) == exported([], [])


def test_other_lists_of_the_author_count_as_the_models():
    assert exported([], [("a/bias", 1)], extra=[("a/bias", 1)]).copies == {"_all_variables/0": "extra/0"}
