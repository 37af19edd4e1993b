"""The instances of a domain that come with drivecoach."""
