from earwitness.decoding.tag_prompt import short_name, tag_text

NAMES = ["Male speech, man speaking", "Dog", "Growling", "Sidetone", "Wind noise (microphone)"]


def test_tags_are_graded_by_probability_and_ranked_within_a_grade():
    assert tag_text(NAMES, [0.41, 0.9, 0.2, 0.04, 0.06]) == "dog, male speech; growling; wind noise"


def test_an_empty_grade_keeps_its_place():
    assert tag_text(NAMES, [0.5, 0.0, 0.0, 0.1, 0.0]) == "male speech; ; sidetone"


def test_only_the_most_probable_tag_stands_where_none_is_probable():
    assert tag_text(NAMES, [0.01, 0.02, 0.01, 0.0, 0.0]) == "; ; dog"


def test_at_most_seven_tags():
    assert tag_text([f"t{i}" for i in range(20)], [0.9] * 20).count(",") == 6


def test_the_first_of_several_names_is_used():
    assert short_name("Livestock, farm animals, working animals") == "livestock"
