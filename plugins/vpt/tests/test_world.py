"""The stand-in world: kept worlds, drawing, interface, players, recordings, rewards."""

import json

import numpy as np
import pytest
from crafter.engine import ItemView, LocalView
from gymnasium import spaces

from omnitrain.errors import UsageError
from omnitrain_control.environments import episode_seed
from omnitrain_control.fleets import Fleet
from omnitrain_vpt.configs.data import PlayConfig, WorldConfig
from omnitrain_vpt.configs.stages import RecordConfig
from omnitrain_vpt.paper.minecraft import SequenceRules
from omnitrain_vpt.paper.rewards import DIAMOND_PICKAXE
from omnitrain_vpt.recordings.format import ReadingProblems, ReadingRules, find_segments, read_track
from omnitrain_vpt.recordings.frames import pointer, track_frames
from omnitrain_vpt.recordings.work import WORK
from omnitrain_vpt.stages.record import record
from omnitrain_vpt.world.drawing import _textures
from omnitrain_vpt.world.environments import FramesOnly, make_fleet, make_interface, make_world
from omnitrain_vpt.world.interface import action_space, is_minecraft
from omnitrain_vpt.world.players import Habits, Player, environment_action
from omnitrain_vpt.world.recording import play_clip, record_clips
from omnitrain_vpt.world.terrain import NEEDED, generate, new_world, terrain

SMALL = WorldConfig(area=16, worlds=2, cell=4, steps=80)


def played(interface, seed, steps=60):
    """Frames and pressed buttons of an expert's episode."""
    frame, _ = interface.reset(seed=seed)
    player = Player(interface, Habits(), np.random.default_rng(seed))
    frames, pressed = [frame], []
    for _ in range(steps):
        names, camera = player.act()
        frame, *_ = interface.step(environment_action(names, camera))
        frames.append(frame)
        pressed.append(names)
    return np.stack(frames), pressed


def test_episodes_follow_from_their_seed_whether_the_world_was_kept_or_made(tmp_path):
    one, again = make_interface(SMALL, tmp_path), make_interface(SMALL, tmp_path)
    first, pressed = played(one, 3)
    played(one, 4)
    for interface in (one, again):
        frames, same = played(interface, 3)
        assert np.array_equal(frames, first)
        assert same == pressed


def test_worlds_are_complete_and_kept(tmp_path):
    made = terrain(tmp_path, 16, 1)
    again = terrain(tmp_path, 16, 1)
    assert np.array_equal(made.materials, again.materials)
    world = new_world(16)
    world._mat_map[:] = made.materials
    assert all(world.count(name) >= count for name, count in NEEDED.items())
    assert not np.array_equal(made.materials, generate(16, 2).materials)


@pytest.mark.parametrize("calm", [True, False])
def test_frames_are_crafters_own(tmp_path, calm):
    interface = make_interface(WorldConfig(area=24, worlds=1, cell=8, calm=calm, steps=300), tmp_path)
    played(interface, 1, 20)
    game = interface.game
    game.world.daylight = 1.0
    local = LocalView(game.world, _textures(), [9, 7])(game.player, np.array([8, 8]))
    items = ItemView(_textures(), [9, 2])(game.player.inventory, np.array([8, 8]))
    theirs = np.concatenate([local, items], 1).astype(np.uint8).transpose(1, 0, 2)
    assert np.array_equal(game.frame(), theirs)


def test_nights_and_monsters_are_there_unless_calm(tmp_path):
    wild = make_interface(WorldConfig(area=32, worlds=1, cell=4, calm=False, steps=300), tmp_path)
    wild.reset(seed=0)
    for _ in range(200):
        _, _, dead, _, _ = wild.step(environment_action([], (0.0, 0.0)))
        if dead:
            break
    assert wild.game.world.daylight < 0.9 or dead
    assert wild.game.player.inventory["food"] < 9


@pytest.mark.parametrize("seed", range(4))
def test_the_expert_reaches_diamonds(tmp_path_factory, seed):
    folder = tmp_path_factory.getbasetemp() / "worlds"
    interface = make_interface(WorldConfig(area=24, worlds=4, cell=4, steps=600), folder)
    interface.reset(seed=seed)
    player = Player(interface, Habits(noise=0.02), np.random.default_rng(seed))
    for _ in range(600):
        interface.step(environment_action(*player.act()))
        if player.finished():
            break
    assert interface.items()["diamond"] == 1
    assert interface.game.achievements["make_iron_pickaxe"] == 1


def test_buttons_mean_what_the_readme_says(tmp_path):
    interface = make_interface(SMALL, tmp_path)
    interface.reset(seed=0)

    def crafter(*pressed):
        interface.step(environment_action([], (0.0, 0.0)))
        for name in pressed:
            if name.startswith("hotbar."):
                interface.slot = int(name[-1]) - 1
        return interface.crafter_action(environment_action(list(pressed), (0.0, 0.0)))

    assert crafter("forward") == "move_up"
    assert crafter("forward", "back", "left") == "move_left"
    assert crafter("attack", "forward") == "do"
    assert crafter("hotbar.2", "use") == "place_table"
    assert crafter("hotbar.8", "use") == "make_wood_sword"
    assert crafter("sneak") == "sleep"
    assert crafter() == "noop"


def test_the_mouse_shifts_the_view_and_the_frame_shows_hand_and_slot(tmp_path):
    interface = make_interface(WorldConfig(area=16, worlds=1, cell=8), tmp_path)
    before, _ = interface.reset(seed=0)
    moved, *_ = interface.step(environment_action([], (0.0, 10.0)))
    assert np.array_equal(moved[4:56, :40], before[4:56, 12:52])
    swung, *_ = interface.step(environment_action(["attack"], (0.0, -10.0)))
    assert (swung[42:48, 52:64] == [255, 200, 150]).all()
    assert (swung[36:42, 52:64] == [128, 128, 128]).all()
    for key, rows, columns in (("forward", 28, 52), ("back", 44, 52), ("left", 36, 44), ("right", 36, 60)):
        walked, *_ = interface.step(environment_action([key, "use"], (0.0, 0.0)))
        assert (walked[rows + 6 : rows + 12, columns : columns + 12] == [120, 220, 255]).all()
    chosen, *_ = interface.step(environment_action(["hotbar.3"], (0.0, 0.0)))
    assert (chosen[0, 16:24] == 255).all()
    assert (chosen[36:42, 52:64] == [70, 70, 90]).all()


def test_recordings_of_players_are_read_back_identically(tmp_path):
    play = PlayConfig(world=SMALL, clips=2, steps=40)
    record_clips(tmp_path / "out", play, tmp_path / "worlds", 5)
    segments = find_segments(tmp_path / "out" / "index.json", None, ReadingProblems())
    assert [s.version for s in segments] == ["8.0", "8.0"]
    interface = make_interface(SMALL, tmp_path / "worlds")
    for number, segment in enumerate(segments):
        frames, written = play_clip(interface, play, episode_seed(5, number))
        problems = ReadingProblems()
        track = read_track(segment, ReadingRules(), problems)
        assert not problems.counts
        assert [json.loads(text) for text in segment.lines.read_text().splitlines()] == written
        rules = SequenceRules()
        actions = [rules(line) for line in written]
        assert np.array_equal(track.buttons, np.stack([action.buttons() for action in actions]))
        assert np.array_equal(track.camera, np.array([action.camera for action in actions], np.float32))
        decoded = np.stack(list(track_frames(segment.video, track, 36, pointer(None))))
        assert decoded.shape == frames.shape
        # The video is compressed; a frame is still nearer to what was drawn for it than to what was drawn before.
        lost = np.abs(decoded[1:].astype(int) - frames[1:]).mean()
        assert lost < 8
        assert lost < np.abs(decoded[1:].astype(int) - frames[:-1]).mean() / 1.5
        again = np.stack(list(track_frames(segment.video, track, 36, pointer(None))))
        assert np.array_equal(decoded, again)


def test_recording_goes_on_behind_the_last_whole_clip(run, tmp_path, monkeypatch):
    config = RecordConfig(world=SMALL, clips=3, steps=20)
    worlds = tmp_path / "workspace" / "vpt-worlds"
    record_clips(tmp_path / "whole", config, worlds, run.seed("play"))
    played = []

    def stopping(*arguments):
        played.append(arguments[-1])
        if len(played) == 3:
            raise KeyboardInterrupt
        return play_clip(*arguments)

    monkeypatch.setattr("omnitrain_vpt.world.recording.play_clip", stopping)
    with pytest.raises(KeyboardInterrupt):
        record(config, run)
    assert list(run.ledger(WORK)) == ["8.0/scripted-000000", "8.0/scripted-000001"]
    record(config, run)
    assert len(played) == 4
    for path in sorted(p for p in (tmp_path / "whole").rglob("*") if p.is_file()):
        assert path.read_bytes() == (run.directory / "data" / path.relative_to(tmp_path / "whole")).read_bytes()


def test_unlabelled_recordings_have_no_lines(run):
    record(RecordConfig(world=SMALL, clips=1, steps=8, labelled=False), run)
    (segment,) = find_segments(run.directory / "data", None, ReadingProblems())
    assert segment.lines is None


def test_only_the_stand_in_has_scripted_players(tmp_path):
    with pytest.raises(UsageError, match="record people there"):
        record_clips(tmp_path, PlayConfig(world=WorldConfig(environment="MineRL-v0")), tmp_path, 0)


def test_fleets_in_processes_play_what_fleets_here_play(tmp_path):
    rewards = dict(DIAMOND_PICKAXE)
    found = []
    for processes in (0, 1):
        with make_fleet(SMALL, tmp_path, 2, 3, processes, size=36, rewards=rewards) as fleet:
            observations, _ = fleet.reset()
            steps = [fleet.step([environment_action(["attack"], (0.0, 1.5))] * 2) for _ in range(5)]
            found.append(np.stack([observations, *(s.observations for s in steps)]))
    assert np.array_equal(*found)


def test_a_fleet_is_restored_in_mid_episode(tmp_path):
    from functools import partial

    maker = partial(make_world, SMALL, tmp_path, 36, dict(DIAMOND_PICKAXE))
    action = environment_action(["right"], (1.05, -0.15))
    with Fleet(maker, 2, 3) as one, Fleet(maker, 2, 3) as two:
        one.reset()
        for _ in range(90):
            last = one.step([action] * 2).observations
        assert np.array_equal(two.load_state_dict(one.state_dict()), last)
        assert np.array_equal(one.step([action] * 2).observations, two.step([action] * 2).observations)


def test_minecraft_is_known_by_its_action_space(tmp_path):
    assert is_minecraft(action_space())
    buttons = {n: s for n, s in action_space().spaces.items() if n not in ("ESC", "pickItem", "swapHands")}
    assert is_minecraft(spaces.Dict(buttons))
    assert not is_minecraft(spaces.Dict({"camera": spaces.Box(-1, 1, (2,))}))
    assert not is_minecraft(spaces.Discrete(3))
    import gymnasium

    with pytest.raises(UsageError, match="does not have Minecraft's action space"):
        FramesOnly(gymnasium.make("CartPole-v1"))
    with pytest.raises(UsageError, match="NoSuchWorld-v0"):
        make_world(WorldConfig(environment="NoSuchWorld-v0"), tmp_path)
