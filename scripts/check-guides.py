#!/usr/bin/env python3
"""Checks that the code in the guides is the code that tests run, and that the files they name exist."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parent.parent
# Guide → language of its code → where that code is tested.
GUIDES = {
    "docs/android.md": {
        "kotlin": "android/app/src/test/kotlin/app/shelfsight/camera/GuideTest.kt",
        "kotlin-camera": "android/app/src/main/kotlin/app/shelfsight/camera/CameraScreen.kt",
    },
    "docs/ios.md": {"swift": "ios/CameraCoreTests/GuideTests.swift"},
}


def squeezed(text: str) -> str:
    """Text without indentation, so that code may stand deeper in a file than in a guide."""
    return "\n".join(line.strip() for line in text.strip().splitlines())


def main() -> int:
    """Prints what does not agree."""
    wrong = []
    for guide, sources in GUIDES.items():
        text = (ROOT / guide).read_text()
        blocks = re.findall(r"^```(\S+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        tested = [(language, block) for language, block in blocks if language in ("kotlin", "swift")]
        if not tested:
            wrong.append(f"{guide}: no code")
        code = "\n".join(squeezed((ROOT / source).read_text()) for source in sources.values())
        for language, block in tested:
            for part in re.split(r"^// …\n", block, flags=re.MULTILINE):
                if squeezed(part) not in code:
                    wrong.append(f"{guide}: this {language} code is in no test:\n{part}")
        for path in re.findall(r"`((?:scripts|android|ios|bindings|docs)/[\w./-]+)`", text):
            if not (ROOT / path).exists():
                wrong.append(f"{guide}: {path} does not exist")
    print("\n".join(wrong) if wrong else f"{len(GUIDES)} guides agree with their tests")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
