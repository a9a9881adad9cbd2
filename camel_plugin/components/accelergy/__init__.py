"""Components as Accelergy's stock estimators price them: its library, Aladdin and CACTI plug-ins, by their rules.

Read in accelergy-library-plug-in ba4e9da, accelergy-aladdin-plug-in 5e2e126 and accelergy-cacti-plug-in. What an
estimator ignores is ignored here: voltage and temperature by all of them.
"""
