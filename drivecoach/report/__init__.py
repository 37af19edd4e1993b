"""What a run has come to, as one page to look at; what two runs differ in; what a file of pairs covers."""
